-- Queries of Quayside's application, as its code sends them: `auditor audit --sql queries.sql` judges their ON CONFLICT.

-- Add a variable to a project, or change it.
INSERT INTO project_variables (project_id, name, network, value)
VALUES ($1, $2, $3, $4)
ON CONFLICT (project_id, name, COALESCE(network, 'default')) WHERE is_active AND revoked_at IS NULL
DO UPDATE SET value = EXCLUDED.value;

-- Add a credential to a project, unless there is one in force. It relies on the index that incident 1 dropped.
INSERT INTO project_credentials (project_id, credential_type, network)
VALUES ($1, $2, $3)
ON CONFLICT (project_id, credential_type, COALESCE(network, 'default')) WHERE is_active AND revoked_at IS NULL
DO NOTHING;

-- Make a user a member of a workspace.
INSERT INTO workspace_members (workspace_id, user_id, role, joined_at)
VALUES ($1, $2, 'member', now())
ON CONFLICT (workspace_id, user_id) DO NOTHING;
