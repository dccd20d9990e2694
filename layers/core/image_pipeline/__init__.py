"""Image Pipeline: the code that the Lambda functions share."""
