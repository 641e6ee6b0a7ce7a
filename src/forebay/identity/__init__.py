"""Who may log in: secrets now; tokens and policies stand here too."""
