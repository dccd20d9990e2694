"""Image Pipeline: what the Lambda functions share. Plain Python; AWS only in `storage`, `labels` and `records`."""
