"""What was read, as tables: Excel, CSV, `.imrmc`."""
