package dev.moontide.job;

import com.holdenkarau.spark.testing.JavaDatasetSuiteBase;
import com.holdenkarau.spark.testing.SharedJavaSparkContext;
import java.io.Serializable;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;

/** Tests on a local session of two cores, which a class's tests share. */
abstract class LocalSession extends JavaDatasetSuiteBase implements Serializable {
  private static final long serialVersionUID = 1L;

  @Override
  public boolean enableHiveSupport() {
    return false;
  }

  @Override
  public SparkConf conf() {
    return super.conf()
        .setMaster("local[2]")
        .set("spark.ui.enabled", "false")
        .set("spark.sql.shuffle.partitions", "2");
  }

  @Override
  @BeforeEach
  public void runBefore() {
    super.runBefore();
  }

  @AfterAll
  static void stop() {
    SharedJavaSparkContext.runAfterClass();
  }

  final SparkSession session() {
    return spark();
  }
}
