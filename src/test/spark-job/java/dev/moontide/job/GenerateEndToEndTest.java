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
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moontide.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

/** {@code generate} by the shipped example, which draws at temperature 1, on part of its rows. */
class GenerateEndToEndTest extends EndToEnd {
  private void example(String output, String... options) {
    done(
        "generate",
        Stream.concat(
                Stream.of(
                    "--config",
                    EXAMPLES.resolve("write-requests.yaml").toString(),
                    "--input",
                    EXAMPLES.resolve("data/requests-to-write.jsonl").toString(),
                    // Three rows of each of eleven intents.
                    "--where",
                    "intent < 'ca'",
                    "--output-format",
                    "parquet",
                    "--output",
                    path(output)),
                Stream.of(options))
            .toArray(String[]::new));
  }

  /** Digits and the end of a turn: no other token comes, and finished results are not reused. */
  @Test
  void noTokenComesThatIsNotAllowed() {
    Tokenizer tokenizer = Tokenizer.load(Path.of(MODEL));
    String digits =
        IntStream.range(0, 10)
            .mapToObj(digit -> Integer.toString(tokenizer.encode("" + digit).get(0)))
            .collect(Collectors.joining(","));
    example("digits", "--allowed-token-ids", digits, "--max-tokens", "6");
    for (Row row : output("digits").collectAsList()) {
      String response = row.getAs("response");
      assertTrue(response.matches("[0-9]{6}"), response);
      assertEquals("length", row.<String>getAs("finish_reason"));
    }
    String others = digits.substring(0, digits.lastIndexOf(','));
    example("fewer-digits", "--allowed-token-ids", others, "--max-tokens", "6");
    for (Row row : output("fewer-digits").collectAsList()) {
      String response = row.getAs("response");
      assertTrue(response.matches("[0-8]{6}"), response);
    }
  }

  @Test
  void samplesDependOnTheSeedAndTheRowAlone() {
    example("first");
    List<String> expected = sorted("first");
    assertEquals(33, expected.size());
    example("again");
    assertEquals(expected, sorted("again"));
    example("five", "--partitions", "5");
    assertEquals(expected, sorted("five"));

    example("other-seed", "--seed", "2");
    List<String> others = sorted("other-seed");
    assertEquals(33, others.size());
    long same = expected.stream().filter(others::contains).count();
    assertTrue(same <= 11, same + " of 33 rows are the same with another seed");

    Map<String, Set<String>> ofIntent = new HashMap<>();
    for (Row row : output("first").collectAsList()) {
      assertNull(row.<String>getAs("error"));
      assertTrue(Set.of("stop", "length").contains(row.<String>getAs("finish_reason")));
      assertTrue(row.<Integer>getAs("completion_tokens") <= 48);
      ofIntent
          .computeIfAbsent(row.getAs("intent"), absent -> new HashSet<>())
          .add(row.getAs("response"));
    }
    assertEquals(11, ofIntent.size());
    // The prompt is the same for an intent's three rows: their ids make the difference.
    long differing = ofIntent.values().stream().filter(texts -> texts.size() == 3).count();
    assertTrue(differing >= 8, "three different texts for " + differing + " of 11 intents");
  }
}
