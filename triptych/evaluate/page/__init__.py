"""What people read: the report, the diagnosis, tables, plots, the list of benchmarks."""
