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

import dev.moontide.tensor.DType;

/**
 * Totals of an engine since its start.
 *
 * @param device what it runs on
 * @param dtype the type it computes in
 * @param threads that compute
 * @param steps forward steps
 * @param computedTokens tokens of those steps: prompts, generated ones and nodes of label tries
 * @param decodedTokens of those, the tokens of steps without prompt tokens
 * @param promptTokens prompt tokens of finished requests
 * @param cachedTokens of the prompt tokens, those taken from the prefix cache
 * @param completionTokens tokens generated
 * @param preemptions sequences that gave up their cache blocks and were computed again
 * @param loadSeconds time to load the checkpoint
 * @param loadedBytes bytes read from the checkpoint
 * @param prefillSeconds time in steps with prompt tokens, those of sequences past theirs included
 * @param decodeSeconds time in steps without prompt tokens
 * @param matmulSeconds time inside matrix products, over all threads
 */
public record EngineStatistics(
    String device,
    DType dtype,
    int threads,
    long steps,
    long computedTokens,
    long decodedTokens,
    long promptTokens,
    long cachedTokens,
    long completionTokens,
    long preemptions,
    double loadSeconds,
    long loadedBytes,
    double prefillSeconds,
    double decodeSeconds,
    double matmulSeconds) {}
