"""Commands on tables, each imported when it is called."""
