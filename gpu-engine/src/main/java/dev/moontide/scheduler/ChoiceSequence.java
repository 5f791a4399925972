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
package dev.moontide.scheduler;

import dev.moontide.api.DoubleList;
import dev.moontide.api.GenerationRequest;
import dev.moontide.api.Objective;
import dev.moontide.api.Outcome;
import dev.moontide.constraint.ChoiceSearch;
import dev.moontide.constraint.ChoiceTrie;
import dev.moontide.tensor.Step;
import java.util.function.Consumer;

/**
 * A prompt whose choices are weighed. Its entries are the prompt and the trie nodes its search has
 * queued; the logits of the prompt's last token and of every node are wanted, once.
 */
public final class ChoiceSequence extends Sequence {
  private final ChoiceSearch search;

  public ChoiceSequence(
      GenerationRequest request,
      Consumer<Sequence> sink,
      Objective.Choose objective,
      ChoiceTrie trie) {
    super(request, sink);
    search = new ChoiceSearch(trie, objective.tolerance());
  }

  @Override
  int length() {
    return prompt().length() + search.queued();
  }

  @Override
  public int maxLength() {
    return prompt().length() + search.trie().innerNodes() - 1;
  }

  @Override
  int firstWanted() {
    return prompt().length() - 1 + search.answered();
  }

  @Override
  void addEntry(Step step, int i) {
    search.addTo(step, i - prompt().length(), prompt().length());
  }

  public ChoiceSearch search() {
    return search;
  }

  @Override
  boolean isAnswered() {
    return search.isFinished();
  }

  @Override
  Outcome answer() {
    double[] probabilities = search.probabilities();
    if (Double.isNaN(probabilities[0])) {
      return new Outcome.Failure("the model gives every choice the probability 0");
    }
    int best = 0;
    for (int i = 1; i < probabilities.length; i++) {
      if (probabilities[i] > probabilities[best]) {
        best = i;
      }
    }
    return new Outcome.Choice(
        best, DoubleList.of(probabilities), search.trie().choices().tokens().get(best).length());
  }

  @Override
  public long bytes() {
    return 4L * prompt().length() + search.bytes();
  }
}
