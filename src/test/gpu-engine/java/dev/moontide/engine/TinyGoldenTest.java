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
package dev.moontide.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.moontide.api.ChoiceSet;
import dev.moontide.api.EngineOptions;
import dev.moontide.api.EngineOptions.Backend;
import dev.moontide.api.EngineOptions.Precision;
import dev.moontide.api.FinishReason;
import dev.moontide.api.FloatList;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.api.SamplingParameters;
import dev.moontide.api.TokenIds;
import dev.moontide.model.LanguageModel;
import dev.moontide.tensor.Step;
import dev.moontide.tokenizer.ChatMessage;
import dev.moontide.tokenizer.ChatTemplate;
import dev.moontide.tokenizer.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The instruct checkpoint that comes with the project, in float32, against the float32 reference:
 * conversation to prompt, prompt to logits, logits to tokens and text, and labels' probabilities.
 */
class TinyGoldenTest {
  /** Absolute, as the small checkpoints are held to; the worst of all 80 prompts measures 8e-6. */
  private static final double LOGIT_TOLERANCE = 1e-4;

  /** Scores are float32: sums of a label's few are off by no more. */
  private static final double LOG_PROBABILITY_TOLERANCE = 1e-5;

  private static final Path ROOT = Path.of(System.getProperty("moontide.root"));
  private static final EngineOptions OPTIONS =
      new EngineOptions(
          ROOT.resolve("examples/models/tiny-k2-instruct"),
          Backend.CPU,
          Precision.F32,
          512,
          64,
          64L << 20,
          256,
          2,
          true);

  private static final Tokenizer TOKENIZER = Tokenizer.load(OPTIONS.model());
  private static final ChatTemplate CHAT =
      ChatTemplate.load(OPTIONS.model(), TOKENIZER).orElseThrow();
  private static final JsonNode GOLDEN = golden();
  private static final List<JsonNode> CASES = cases();

  private static Engine engine;

  @BeforeAll
  static void load() {
    engine = new Engine(EngineLoader.load(OPTIONS), OPTIONS);
  }

  @AfterAll
  static void close() {
    engine.close();
  }

  private static JsonNode golden() {
    try (InputStream json = TinyGoldenTest.class.getResourceAsStream("/goldens/tiny.json")) {
      return new ObjectMapper().readTree(json);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static List<JsonNode> cases() {
    List<JsonNode> cases = new ArrayList<>();
    GOLDEN.get("cases").forEach(cases::add);
    assertEquals(80, cases.size());
    return cases;
  }

  private static int[] ints(JsonNode array) {
    return IntStream.range(0, array.size()).map(i -> array.get(i).asInt()).toArray();
  }

  /** The prompt as the project's own tokenizer and the checkpoint's template make it. */
  private static TokenIds prompt(JsonNode golden) {
    return CHAT.encode(
        List.of(
            ChatMessage.of("system", golden.get("system").asText()),
            ChatMessage.of("user", golden.get("user").asText())),
        true);
  }

  private static Map<Long, Outcome> answers(List<GenerationRequest> requests) {
    Map<Long, Outcome> outcomes = new TreeMap<>();
    try (ResultStream results = engine.generate(requests.iterator())) {
      results.forEachRemaining(result -> outcomes.put(result.id(), result.outcome()));
    }
    assertEquals(requests.size(), outcomes.size());
    return outcomes;
  }

  @Test
  void greedyTokensAndTextsEqualTheReference() {
    List<GenerationRequest> requests = new ArrayList<>();
    for (JsonNode golden : CASES) {
      TokenIds prompt = prompt(golden);
      assertArrayEquals(ints(golden.get("ids")), prompt.toArray(), golden.get("user").asText());
      requests.add(
          new GenerationRequest(
              requests.size(),
              prompt,
              new Objective.Sample(SamplingParameters.greedy(64), requests.size(), 0)));
    }
    Map<Long, Outcome> outcomes = answers(requests);
    for (int i = 0; i < CASES.size(); i++) {
      JsonNode golden = CASES.get(i);
      int[] greedy = ints(golden.get("greedy"));
      // The reference keeps the token that ended the answer.
      assertEquals(
          new Outcome.Completion(
              TokenIds.copyOfRange(greedy, 0, greedy.length - 1),
              golden.get("text").asText(),
              FinishReason.STOP,
              greedy.length),
          outcomes.get((long) i),
          golden.get("user").asText());
    }
  }

  @Test
  void lastLogitsEqualTheReference() throws Exception {
    ByteBuffer bytes;
    try (InputStream file =
        TinyGoldenTest.class.getResourceAsStream("/goldens/" + GOLDEN.get("file").asText())) {
      bytes = ByteBuffer.wrap(file.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
    }
    double worst = 0;
    try (LanguageModel model = EngineLoader.load(OPTIONS).model()) {
      float[] expected = new float[model.vocabularySize()];
      for (JsonNode golden : CASES) {
        float[] actual = lastLogits(model, prompt(golden).toArray());
        FloatBuffer reference =
            bytes.position(golden.get("last_logits_offset").asInt()).asFloatBuffer();
        reference.get(expected);
        for (int i = 0; i < expected.length; i++) {
          double error = Math.abs((double) actual[i] - expected[i]);
          assertTrue(
              error <= LOGIT_TOLERANCE,
              "\"%s\": logit %d is %s, the reference %s"
                  .formatted(golden.get("user").asText(), i, actual[i], expected[i]));
          worst = Math.max(worst, error);
        }
      }
    }
    assertTrue(worst > 0, "bits equal to the reference's: was anything computed?");
  }

  private static float[] lastLogits(LanguageModel model, int[] ids) {
    Step step = new Step(OPTIONS.maxBatchTokens(), 1);
    step.beginSequence(IntStream.range(0, ids.length / model.blockSize() + 1).toArray());
    for (int t = 0; t < ids.length; t++) {
      step.addToken(ids[t], t);
    }
    step.requestLogits();
    model.forward(step);
    model.computeLogits(0, 1);
    float[] logits = new float[model.vocabularySize()];
    model.readLogits(0, logits);
    return logits;
  }

  /** One pass over the trie gives what scoring every label on its own gives. */
  @Test
  void labelProbabilitiesEqualThoseOfScoringEachLabel() throws Exception {
    List<String> names = Files.readAllLines(ROOT.resolve("examples/data/clinc150/labels.txt"));
    assertEquals(150, names.size());
    List<TokenIds> labels =
        names.stream().map(name -> concat(TOKENIZER.encode(name), CHAT.endOfTurn())).toList();
    ChoiceSet choices = new ChoiceSet(names, labels);
    // The second is the least decided of all 40: its first tokens are 0.007 apart.
    for (int at : new int[] {0, 16, 33}) {
      TokenIds prompt = prompt(CASES.get(at));
      Outcome.Choice choice =
          assertInstanceOf(
              Outcome.Choice.class,
              answers(List.of(new GenerationRequest(0, prompt, new Objective.Choose(choices, 0))))
                  .get(0L));
      double[] expected = scored(prompt, labels);
      for (int i = 0; i < expected.length; i++) {
        assertEquals(
            Math.log(expected[i]),
            Math.log(choice.probabilities().get(i)),
            LOG_PROBABILITY_TOLERANCE,
            names.get(i));
      }
      int best =
          IntStream.range(0, expected.length)
              .reduce(0, (a, b) -> expected[b] > expected[a] ? b : a);
      assertEquals(best, choice.best());
      assertEquals(labels.get(best).length(), choice.completionTokens());
      assertEquals(1, Arrays.stream(choice.probabilities().toArray()).sum(), 1e-12);
    }
  }

  /** Each label's probability, from scores of the prompt with it, normalised over the labels. */
  private static double[] scored(TokenIds prompt, List<TokenIds> labels) {
    List<GenerationRequest> requests = new ArrayList<>();
    for (TokenIds label : labels) {
      requests.add(
          new GenerationRequest(requests.size(), concat(prompt, label), new Objective.Score()));
    }
    double[] p = new double[labels.size()];
    answers(requests)
        .forEach(
            (id, outcome) -> {
              FloatList scores = assertInstanceOf(Outcome.Scores.class, outcome).tokenLogprobs();
              double logP = 0;
              // Entry i is of token i + 1.
              for (int i = prompt.length() - 1; i < scores.size(); i++) {
                logP += scores.get(i);
              }
              p[(int) (long) id] = Math.exp(logP);
            });
    double sum = Arrays.stream(p).sum();
    return Arrays.stream(p).map(value -> value / sum).toArray();
  }

  private static TokenIds concat(TokenIds a, TokenIds b) {
    int[] ids = new int[a.length() + b.length()];
    a.copyTo(0, a.length(), ids, 0);
    b.copyTo(0, b.length(), ids, a.length());
    return TokenIds.of(ids);
  }
}
