"""Words that every room uses: records, errors, files, config, plug-ins, logs. No torch, no transformers."""
