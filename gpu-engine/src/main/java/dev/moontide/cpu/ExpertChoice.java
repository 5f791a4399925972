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
package dev.moontide.cpu;

import dev.moontide.cpu.vector.Activation;
import dev.moontide.tensor.Router;
import java.util.Arrays;

/**
 * One token's choice of experts ({@code noaux_tc}): selection by the biased probabilities within
 * the best groups, ties to the lower index; a NaN ranks below everything. Holds one thread's
 * scratch.
 */
final class ExpertChoice {
  /** Keeps the sum of weights from zero, as the published model does. */
  private static final float LEAST_SUM = 1e-20f;

  private float[] probabilities = new float[0];
  private float[] scores = new float[0];
  private float[] groupScores = new float[0];
  private float[] best = new float[0];

  /** Chooses for token {@code t}, whose logits stand at {@code from}. */
  void choose(float[] logits, int from, float[] bias, Router router, TokenRouting routing, int t) {
    reserve(router);
    Activation.sigmoid(logits, from, probabilities, 0, router.experts());
    for (int e = 0; e < router.experts(); e++) {
      float score = probabilities[e] + bias[e];
      scores[e] = Float.isNaN(score) ? Float.NEGATIVE_INFINITY : score;
    }
    if (router.topGroups() < router.groups()) {
      maskGroups(router);
    }
    int first = t * router.topK();
    select(routing.experts, first, router);
    sort(routing.experts, first, router.topK());
    weigh(routing, first, router);
  }

  private void reserve(Router router) {
    if (scores.length < router.experts()) {
      probabilities = new float[router.experts()];
      scores = new float[router.experts()];
    }
    if (groupScores.length < router.groups()) {
      groupScores = new float[router.groups()];
    }
    if (best.length < router.topK()) {
      best = new float[router.topK()];
    }
  }

  /** Puts the experts of all but the best groups out of reach. */
  private void maskGroups(Router router) {
    int size = router.experts() / router.groups();
    for (int g = 0; g < router.groups(); g++) {
      groupScores[g] = sumOfTwoBest(g * size, size);
    }
    for (int g = 0; g < router.groups(); g++) {
      int better = 0;
      for (int other = 0; other < router.groups(); other++) {
        boolean ahead =
            groupScores[other] > groupScores[g]
                || (groupScores[other] == groupScores[g] && other < g);
        better += ahead ? 1 : 0;
      }
      if (better >= router.topGroups()) {
        Arrays.fill(scores, g * size, (g + 1) * size, Float.NEGATIVE_INFINITY);
      }
    }
  }

  private float sumOfTwoBest(int from, int size) {
    float first = Float.NEGATIVE_INFINITY;
    float second = Float.NEGATIVE_INFINITY;
    for (int e = from; e < from + size; e++) {
      float score = scores[e];
      if (score > first) {
        second = first;
        first = score;
      } else if (score > second) {
        second = score;
      }
    }
    return size > 1 ? first + second : first;
  }

  /** The topK best, best first; a later expert goes ahead only where it is strictly better. */
  private void select(int[] chosen, int first, Router router) {
    int topK = router.topK();
    int count = 0;
    for (int e = 0; e < router.experts(); e++) {
      float score = scores[e];
      if (count == topK && score <= best[topK - 1]) {
        continue;
      }
      int at = count < topK ? count++ : topK - 1;
      while (at > 0 && score > best[at - 1]) {
        best[at] = best[at - 1];
        chosen[first + at] = chosen[first + at - 1];
        at--;
      }
      best[at] = score;
      chosen[first + at] = e;
    }
  }

  private static void sort(int[] chosen, int first, int count) {
    for (int i = first + 1; i < first + count; i++) {
      int expert = chosen[i];
      int at = i;
      while (at > first && chosen[at - 1] > expert) {
        chosen[at] = chosen[at - 1];
        at--;
      }
      chosen[at] = expert;
    }
  }

  private void weigh(TokenRouting routing, int first, Router router) {
    float sum = 0f;
    for (int k = first; k < first + router.topK(); k++) {
      routing.weights[k] = probabilities[routing.experts[k]];
      sum += routing.weights[k];
    }
    float divisor = router.normalise() ? sum + LEAST_SUM : 1f;
    for (int k = first; k < first + router.topK(); k++) {
      routing.weights[k] = routing.weights[k] / divisor * router.scale();
    }
  }
}
