-- Counts a transient failure against a source host. From the fifth in a row on it rests: 30 s, doubled each time, at
-- most 30 minutes, less up to a quarter at random. finish_download clears it.
CREATE OR REPLACE FUNCTION strike_source_host(p_host text) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO source_host AS h (host, failures) VALUES (p_host, 1)
    ON CONFLICT (host) DO UPDATE
        SET failures = h.failures + 1, updated_at = now(),
            paused_until = CASE WHEN h.failures + 1 >= 5 THEN
                now() + (1 - random() / 4)
                    * least(interval '30 minutes', interval '30 seconds' * power(2, least(h.failures - 4, 16)))
            END
$$;
