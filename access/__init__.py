"""Who may do what: people, roles, teams, grants, keys, and the one answer to "may they?"."""
