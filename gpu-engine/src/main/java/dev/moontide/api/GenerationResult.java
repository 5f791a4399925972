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
package dev.moontide.api;

/**
 * The answer to one {@link GenerationRequest}.
 *
 * @param id the request's number
 * @param promptTokens length of the prompt
 * @param cachedTokens leading prompt tokens whose computation another request had already done
 * @param outcome the answer, or why there is none
 */
public record GenerationResult(long id, int promptTokens, int cachedTokens, Outcome outcome) {}
