package dev.moontide.model;

/** One decoder layer's weights. */
public record LayerWeights(AttentionWeights attention, FeedForward feedForward) {}
