"""The fault harness: real processes, real signals, real servers; what is left is compared with an undisturbed run's.

python -m benchmarks.faults [--sample] [--seed N] [--rows kill,stop]     see docs/faults.md
"""
