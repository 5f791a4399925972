package dev.moontide.tensor;

/** A backend as the tests that hold every backend to the same contract see it. */
public interface Backend {
  /** Type of packed weights and the cache. */
  DType dtype();

  /** Type of operands. */
  DType operand();

  /** Its operations on this many threads, where it computes on threads. */
  Ops open(int threads);

  /** Whether this backend made a tensor or routing. */
  boolean made(Object object);

  /** Sets a row, whose numbers need no rounding. */
  void setRow(Tensor tensor, int row, float[] values);

  /** A row as float32. */
  float[] row(Tensor tensor, int row);

  /** The {@code k}-th expert of token {@code t}. */
  int expert(Routing routing, int t, int k);

  /** Its weight. */
  double weight(Routing routing, int t, int k);
}
