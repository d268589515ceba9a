"""Files of rows, read and written: JSON, Parquet, tar shards; what all formats share. Knows no layout."""
