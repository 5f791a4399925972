package dev.moontide.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FormatTest {
  @ParameterizedTest
  @CsvSource({
    "a.jsonl, json",
    "a.json, json",
    "a.JSONL.gz, json",
    "hdfs://host/data/*.ndjson.zst, json",
    "a.csv, csv",
    "a.tsv.bz2, csv",
    "part-0.snappy.parquet, parquet",
    "a.orc, orc",
    "a.txt, text",
  })
  void extensionsNameFormats(String file, String source) {
    assertEquals(Optional.of(source), Format.ofFile(file).map(Format::source));
  }

  @ParameterizedTest
  @CsvSource({"data", "data.gz", "v1.2", "jsonl"})
  void otherNamesDoNot(String file) {
    assertEquals(Optional.empty(), Format.ofFile(file));
  }

  @Test
  void aNameThatIsNotKnownIsASourceOfSpark() {
    assertEquals("iceberg", Format.named("iceberg").source());
    assertEquals("json", Format.named("JSONL").source());
    assertTrue(!Format.named("jdbc").isFiles());
  }
}
