-- Keeps what a source was resolved to (NULL: why it wasn't, in p_error) for p_keep. False when the lease was lost, and
-- nothing is kept. Answers that nobody has asked for in a week are forgotten on the way.
CREATE OR REPLACE FUNCTION finish_resolving(
    p_key text, p_token uuid, p_url_resolved text, p_resolver text, p_error text, p_keep interval
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM resolved_source WHERE key IN (
        SELECT key FROM resolved_source
        WHERE key <> p_key AND (expires_at < now() - interval '7 days'
           OR expires_at IS NULL AND lease_expires_at < now() - interval '7 days')
        LIMIT 100 FOR UPDATE SKIP LOCKED
    );
    UPDATE resolved_source
    SET url_resolved = p_url_resolved, resolver = p_resolver, error = p_error, resolved_at = now(),
        expires_at = now() + p_keep, lease_token = NULL, lease_expires_at = NULL
    WHERE key = p_key AND lease_token = p_token;
    RETURN FOUND;
END $$;
