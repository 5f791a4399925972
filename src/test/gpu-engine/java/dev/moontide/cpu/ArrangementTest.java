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

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class ArrangementTest {
  private static final short PADDING = -1;

  @Test
  void everyElementLandsInItsPlaceAndPaddingStays() {
    for (int rows : new int[] {1, 16, 63, 65, 200, 1100}) {
      for (int columns : new int[] {8, 16, 72, 128, 136}) {
        PageLayout layout = new PageLayout(Arithmetic.WIDENED, rows, columns);
        short[] plain = new short[rows * columns];
        short[] transposed = new short[rows * columns];
        short[] expected = filled(layout);
        for (int r = 0; r < rows; r++) {
          for (int c = 0; c < columns; c++) {
            short element = (short) (r * columns + c);
            plain[r * columns + c] = element;
            transposed[c * rows + r] = element;
            expected[layout.index(r, c)] = element;
          }
        }
        short[] fromRows = filled(layout);
        Arrangement.rows(layout, plain, fromRows);
        assertArrayEquals(expected, fromRows, layout + " from rows");
        short[] fromColumns = filled(layout);
        Arrangement.columns(layout, transposed, fromColumns);
        assertArrayEquals(expected, fromColumns, layout + " from columns");
      }
    }
  }

  private static short[] filled(PageLayout layout) {
    short[] all = new short[layout.elements()];
    Arrays.fill(all, PADDING);
    return all;
  }
}
