-- Lets one caller of all resolve a source whose answer is missing or too old (with p_anew: also one that is still good):
-- the token to bring the answer with, or NULL when the answer is good or another one is at it. Who has brought none by
-- the end of p_lease has lost it.
CREATE OR REPLACE FUNCTION claim_resolving(p_key text, p_url text, p_lease interval, p_anew boolean) RETURNS uuid
LANGUAGE sql AS $$
    INSERT INTO resolved_source AS r (key, url, lease_token, lease_expires_at)
    VALUES (p_key, p_url, gen_random_uuid(), now() + p_lease)
    ON CONFLICT (key) DO UPDATE
        SET lease_token = excluded.lease_token, lease_expires_at = excluded.lease_expires_at
        WHERE (p_anew OR r.expires_at IS NULL OR r.expires_at <= now())
          AND (r.lease_expires_at IS NULL OR r.lease_expires_at <= now())
    RETURNING lease_token
$$;
