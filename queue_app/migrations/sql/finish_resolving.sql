-- Keeps what a source was resolved to for p_keep. With p_url_resolved NULL (why, says p_error) the answer before stays,
-- as old as it is, and nobody asks anew for p_keep. False when the lease was lost, and nothing is kept. Answers that
-- nobody has asked for in a week are forgotten on the way, but none that somebody is just asking for.
CREATE OR REPLACE FUNCTION finish_resolving(
    p_key text, p_token uuid, p_url_resolved text, p_resolver text, p_error text, p_keep interval
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM resolved_source WHERE key IN (
        SELECT key FROM resolved_source
        WHERE key <> p_key AND (lease_expires_at IS NULL OR lease_expires_at < now())
          AND (expires_at < now() - interval '7 days'
               OR expires_at IS NULL AND lease_expires_at < now() - interval '7 days')
        LIMIT 100 FOR UPDATE SKIP LOCKED
    );
    UPDATE resolved_source
    SET url_resolved = coalesce(p_url_resolved, url_resolved),
        resolver = CASE WHEN p_url_resolved IS NULL AND url_resolved IS NOT NULL THEN resolver ELSE p_resolver END,
        resolved_at = CASE WHEN p_url_resolved IS NULL AND url_resolved IS NOT NULL THEN resolved_at ELSE now() END,
        error = p_error, expires_at = now() + p_keep, lease_token = NULL, lease_expires_at = NULL
    WHERE key = p_key AND lease_token = p_token;
    RETURN FOUND;
END $$;
