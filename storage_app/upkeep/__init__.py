"""What keeps the store as it should be: tasks under a lease, and what each kind of them does."""
