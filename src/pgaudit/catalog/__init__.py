"""Check files: read strictly, validated whole, turned into `pgaudit.model.Check` values."""
