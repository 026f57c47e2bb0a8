"""The entry points of MLproject, one page each: parse, open a run, call."""
