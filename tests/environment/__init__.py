"""What the real tests need from a machine, provided where it can be and named where it cannot.

Runs on the standard library alone, before any virtualenv exists: `PYTHONPATH=tests python3 -m environment provide`.
Everything it makes lies in `.test-env/` at the project's root, except what can only live elsewhere (packages, the
Compose plugin of this user, images).
"""
