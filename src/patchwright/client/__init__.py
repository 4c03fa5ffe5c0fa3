"""Signed calls of the API by its models, over HTTP. botocore is imported with the first call, not before."""
