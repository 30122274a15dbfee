"""The store of a study: tables, migrations, and what may be written to them."""
