/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
 * in compliance with the License. You may obtain a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software distributed under the License
 * is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
 * or implied. See the License for the specific language governing permissions and limitations under
 * the License.
 */
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
