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
package dev.moontide.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Iterator;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.TaskCompletionListener;
import org.junit.jupiter.api.Test;

class InternalRowsTest extends SqlTest {
  /** Of every kind of column, with nulls where there can be some. */
  private static Dataset<Row> rows() {
    return session()
        .sql(
            """
            SELECT id, IF(id % 3 = 0, NULL, concat('text \u00e9 ', id)) AS `a text`, id % 2 = 0 AS flag,
              IF(id % 4 = 0, NULL, id * 1.5D) AS number, CAST(id AS INT) AS small,
              CAST(id AS DECIMAL(20, 3)) AS exact, CAST(CAST(id AS STRING) AS BINARY) AS bytes,
              date_add(DATE '2020-02-01', CAST(id AS INT)) AS day, timestamp_seconds(id) AS moment,
              CAST(timestamp_seconds(id) AS TIMESTAMP_NTZ) AS `local`,
              IF(id % 5 = 0, NULL, array(CAST(id AS STRING), NULL, '')) AS list,
              map('a', IF(id % 2 = 0, NULL, id), 'b', 1L) AS map,
              IF(id % 7 = 0, NULL, named_struct('x', IF(id % 3 = 0, NULL, id),
                'y', array(named_struct('z', IF(id % 2 = 0, NULL, 'deep')), NULL))) AS struct
            FROM range(0, 2000, 1, 3)
            """);
  }

  /** Every row through the batches a task has. */
  record ThroughArrow(StructType schema) implements MapPartitionsFunction<InternalRow, Row> {
    @Override
    public Iterator<Row> call(Iterator<InternalRow> rows) {
      BufferAllocator allocator = new RootAllocator();
      InputRows input = new InputRows(rows, schema, allocator);
      OutputRows output = OutputRows.of(schema, allocator);
      TaskContext.get()
          .addTaskCompletionListener(
              (TaskCompletionListener)
                  task -> {
                    try (allocator;
                        input;
                        output) {
                      assertEquals(0, output.bytes());
                    }
                  });
      return new Iterator<>() {
        @Override
        public boolean hasNext() {
          while (!output.hasNext() && input.hasNext()) {
            long id = input.next();
            output.add(input.row(id), input.bytes(id));
            input.release(id);
            if (id % 11 == 0 || !input.hasNext()) {
              output.flush();
            }
          }
          return output.hasNext();
        }

        @Override
        public Row next() {
          return output.next();
        }
      };
    }
  }

  private static Dataset<Row> through(Dataset<Row> rows) {
    return rows.as(InternalRows.encoder(rows.schema()))
        .mapPartitions(new ThroughArrow(rows.schema()), Encoders.row(rows.schema()));
  }

  @Test
  void rowsOfEveryTypeComeThrough() {
    Dataset<Row> rows = rows();
    Dataset<Row> through = through(rows);
    assertEquals(rows.schema(), through.schema());
    assertEquals(rows.collectAsList(), through.collectAsList());
  }

  /** One function after another, and one of whose rows fields of structs alone are selected. */
  @Test
  void rowsThatSparkInterprets() {
    session().conf().set("spark.sql.codegen.wholeStage", "false");
    session().conf().set("spark.sql.codegen.factoryMode", "NO_CODEGEN");
    try {
      Dataset<Row> rows = rows();
      assertEquals(rows.collectAsList(), through(through(rows)).collectAsList());
      assertEquals(
          rows.select("struct.y", "a text").collectAsList(),
          through(rows).select("struct.y", "a text").collectAsList());
    } finally {
      session().conf().unset("spark.sql.codegen.wholeStage");
      session().conf().unset("spark.sql.codegen.factoryMode");
    }
  }
}
