-- Labels requests in SQL alone:
--   spark-sql --jars moontide-0.1.0.jar \
--     --conf spark.sql.extensions=dev.moontide.spark.MoontideExtensions \
--     --conf spark.moontide.model=examples/models/tiny-k2-instruct \
--     -f examples/spark/label_requests.sql
SET spark.moontide.system = Label the intent of the request.;

CREATE OR REPLACE TEMPORARY VIEW requests USING json
OPTIONS (path 'examples/data/clinc150/test.jsonl');

-- The limit is applied before the model is asked: 20 prompts.
SELECT id, text, ai_classify(text, array('weather', 'translate', 'alarm')) AS label
FROM requests
LIMIT 20;

-- A CASE asks the model only for the rows that take the branch.
SELECT id,
       CASE WHEN length(text) > 60
            THEN ai_query(text, named_struct('max_tokens', 8, 'temperature', 0)) END AS answer
FROM requests
WHERE id < 'test-00020';
