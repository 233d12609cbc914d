"""The keys that a server with `auth=True` knows, and the tables that it looks them up in."""

from __future__ import annotations

KNOWN = "6e1f7c1a-3b52-4c0e-9a57-0d3c9f1b2a01"
# Its requests run beside the model even where there are sandboxes.
TRUSTED = "6e1f7c1a-3b52-4c0e-9a57-0d3c9f1b2a02"
UNKNOWN = "6e1f7c1a-3b52-4c0e-9a57-0d3c9f1b2a03"
EMAIL = "somebody@example.org"

_OWNER = "6e1f7c1a-3b52-4c0e-9a57-0d3c9f1b2aff"

# One statement a line: PostgreSQL's single-user mode ends a statement with its line.
SQL = f"""\
CREATE TABLE users (user_id uuid PRIMARY KEY, email text);
CREATE TABLE keys (key_id uuid PRIMARY KEY, user_id uuid);
CREATE TABLE user_tags (user_tag_id int PRIMARY KEY, name text);
CREATE TABLE key_user_tag_assignments (key_id uuid, user_tag_id int);
INSERT INTO users VALUES ('{_OWNER}', '{EMAIL}');
INSERT INTO keys VALUES ('{KNOWN}', '{_OWNER}'), ('{TRUSTED}', '{_OWNER}');
INSERT INTO user_tags VALUES (1, 'trusted');
INSERT INTO key_user_tag_assignments VALUES ('{TRUSTED}', 1);
"""
