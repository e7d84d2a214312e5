"""What the stores on database servers share: connections, TLS, migrations, lists. Drivers are the rooms' own affair."""
