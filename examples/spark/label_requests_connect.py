"""Labels requests through Spark Connect: the client needs nothing of Moontide. The server:

start-connect-server.sh --jars moontide-0.1.0.jar \
    --conf spark.sql.extensions=dev.moontide.spark.MoontideExtensions \
    --conf spark.moontide.model=/models/Kimi-K2-Instruct
"""

from pyspark.sql import SparkSession

spark = SparkSession.builder.remote("sc://localhost").getOrCreate()
spark.conf.set("spark.moontide.maxTokens", "60")

spark.sql(
    """
    SELECT id, ai_gen(concat('Summarise in one sentence: ', text)) AS summary
    FROM json.`/data/articles.jsonl`
    """
).write.parquet("/data/summaries.parquet")
