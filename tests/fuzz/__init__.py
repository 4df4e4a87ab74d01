"""Bad input: whatever comes in instead of what the venue documents, the answer is a value or a named error."""
