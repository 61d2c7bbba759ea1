"""Models as strangers write them: small directories, and what they must answer through both doors."""
