"""One Optuna study a file: its docstring says the command, the budget and the result."""
