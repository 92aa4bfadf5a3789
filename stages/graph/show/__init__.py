"""What a person sees: reports, tables, drawings."""
