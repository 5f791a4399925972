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
package dev.moontide.spark.sql;

import dev.moontide.api.MoontideException;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.sql.catalyst.plans.logical.CTERelationDef;
import org.apache.spark.sql.catalyst.plans.logical.CTERelationRef;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.UnionLoop;

/**
 * Refuses calls in {@code WITH RECURSIVE}: Spark runs each step of it twice, to count its rows and
 * to collect them, as queries of their own that share nothing.
 */
final class RecursiveCalls {
  /** The common tables of the query that were not looked into. */
  private final Map<Long, LogicalPlan> tables = new HashMap<>();

  private RecursiveCalls() {}

  static void check(LogicalPlan plan) {
    Calls.anywhere(
        plan,
        part -> {
          if (part instanceof UnionLoop loop) {
            new RecursiveCalls().check(loop, plan);
          }
          return false;
        });
  }

  private void check(UnionLoop loop, LogicalPlan query) {
    Calls.anywhere(
        query,
        part -> {
          if (part instanceof CTERelationDef table) {
            tables.put(table.id(), table.child());
          }
          return false;
        });
    ScalaLists.list(loop.children()).forEach(this::refuseCalls);
  }

  private void refuseCalls(LogicalPlan step) {
    Calls.anywhere(
        step,
        part -> {
          if (Calls.isHeldBy(part)) {
            throw MoontideException.configuration(
                "%s stands in a recursive query, of which Spark evaluates each step twice: write"
                    + " the answers to a table first, and use that here, or call it on the rows"
                    + " that the recursion gives",
                CheckCalls.name(part));
          }
          if (part instanceof CTERelationRef reference) {
            LogicalPlan table = tables.remove(reference.cteId());
            if (table != null) {
              refuseCalls(table);
            }
          }
          return false;
        });
  }
}
