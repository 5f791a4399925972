"""Labels requests from PySpark, by the SQL functions:

spark-submit --jars moontide-0.1.0.jar \
    --conf spark.sql.extensions=dev.moontide.spark.MoontideExtensions \
    --conf spark.plugins=dev.moontide.spark.MoontidePlugin \
    --conf spark.moontide.model=examples/models/tiny-k2-instruct \
    examples/spark/label_requests.py
"""

from pyspark.sql import SparkSession
from pyspark.sql.functions import expr

spark = SparkSession.builder.appName("label requests").getOrCreate()
spark.conf.set("spark.moontide.system", "Label the intent of the request.")

requests = spark.read.json("examples/data/clinc150/test.jsonl").limit(100)
labelled = requests.withColumn(
    "label", expr("ai_classify(text, array('weather', 'translate', 'alarm'))")
)
labelled.groupBy("label").count().show()
