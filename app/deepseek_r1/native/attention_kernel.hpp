// Attention of one block of rows over a range of cells, for one width of vectors.
//
// No include guard: `attention_avx2.cpp` and the others include it, each in its own namespace, with
// `lanes`, `Vector`, the functions on vectors and `f32_of_f16` defined before.
//
// A row is one head of one token. The heads of a group share their keys and values, so a block has
// rows of all tokens and heads of one group, and each tile of keys and values is converted to f32
// once for all of them. Softmax is computed on the way (Milakov and Gimelshein, "Online normalizer
// calculation for softmax", arXiv:1805.02867). All sums are f32, whatever the type of the cache.

constexpr float no_weight = -std::numeric_limits<float>::infinity();

inline float f16_at(const char *from) {
    uint16_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return f32_of_f16(bits);
}

inline void convert_f16(const char *from, float *to, int64_t count) {
    for (int64_t i = 0; i < count; i += lanes) store(to + i, load_f16(from + 2 * i));
}

// ggml's block_q8_0: a f16 scale and 32 signed bytes.
inline void convert_q8_0(const char *from, float *to, int64_t count) {
    for (int64_t i = 0; i < count; i += 32, from += 34) {
        const Vector scale = broadcast(f16_at(from));
        for (int64_t j = 0; j < 32; j += lanes)
            store(to + i + j, multiply(scale, load_i8(from + 2 + j)));
    }
}

// ggml's block_q4_0: a f16 scale and 16 bytes; their low halves are the first 16 values.
inline void convert_q4_0(const char *from, float *to, int64_t count) {
    for (int64_t i = 0; i < count; i += 32, from += 18) {
        alignas(16) int8_t values[32];
        for (int j = 0; j < 16; j++) {
            const auto both = static_cast<uint8_t>(from[2 + j]);
            values[j] = static_cast<int8_t>((both & 15) - 8);
            values[j + 16] = static_cast<int8_t>((both >> 4) - 8);
        }
        const Vector scale = broadcast(f16_at(from));
        for (int64_t j = 0; j < 32; j += lanes)
            store(to + i + j, multiply(scale, load_i8(reinterpret_cast<char *>(values) + j)));
    }
}

// Cells that no row sees become 0: they may have what overflowed in another sequence, and its NaN
// would stay NaN with a weight of 0.
inline void convert_tile(CacheType type, const char *from, int64_t stride, int64_t cells,
                         const bool *visible, int64_t width, float *to) {
    for (int64_t cell = 0; cell < cells; cell++, from += stride, to += width) {
        if (!visible[cell]) {
            std::fill_n(to, width, 0.0f);
            continue;
        }
        if (type == CacheType::f16) convert_f16(from, to, width);
        if (type == CacheType::q8_0) convert_q8_0(from, to, width);
        if (type == CacheType::q4_0) convert_q4_0(from, to, width);
    }
}

// Dot products of ROWS queries with all keys of a tile.
template <int ROWS>
inline void score(const float *queries, const float *keys, int64_t width, float *scores) {
    for (int64_t cell = 0; cell < tile_cells; cell += score_cells) {
        Vector sums[ROWS][score_cells] = {};
        for (int64_t i = 0; i < width; i += lanes) {
            Vector key[score_cells];
            for (int c = 0; c < score_cells; c++) key[c] = load(keys + (cell + c) * width + i);
            for (int row = 0; row < ROWS; row++) {
                const Vector query = load(queries + row * width + i);
                for (int c = 0; c < score_cells; c++)
                    sums[row][c] = multiply_add(query, key[c], sums[row][c]);
            }
        }
        for (int row = 0; row < ROWS; row++)
            store_sums(scores + row * tile_cells + cell, sums[row]);
    }
}

// Adds the values of a tile, weighted, to the outputs of ROWS rows, after scaling these.
template <int ROWS, int VECTORS>
inline void add_values(const float *weights, const float *values, int64_t cells, int64_t width,
                       const float *scales, float *outputs) {
    Vector sums[ROWS][VECTORS];
    for (int row = 0; row < ROWS; row++)
        for (int v = 0; v < VECTORS; v++)
            sums[row][v] =
                multiply(broadcast(scales[row]), load(outputs + row * width + v * lanes));
    for (int64_t cell = 0; cell < cells; cell++) {
        Vector value[VECTORS];
        for (int v = 0; v < VECTORS; v++) value[v] = load(values + cell * width + v * lanes);
        for (int row = 0; row < ROWS; row++) {
            const Vector weight = broadcast(weights[row * tile_cells + cell]);
            for (int v = 0; v < VECTORS; v++)
                sums[row][v] = multiply_add(weight, value[v], sums[row][v]);
        }
    }
    for (int row = 0; row < ROWS; row++)
        for (int v = 0; v < VECTORS; v++) store(outputs + row * width + v * lanes, sums[row][v]);
}

// e to the power of values that are at most 0 (Cephes' expf: 2 units in the last place).
inline Vector exponential(Vector x) {
    const Vector least = broadcast(-87.0f);
    const Vector n = round_to_nearest(multiply(maximum(x, least), broadcast(1.44269504f)));
    Vector r = multiply_add(n, broadcast(-0.693359375f), maximum(x, least));
    r = multiply_add(n, broadcast(2.12194440e-4f), r);
    Vector sum = broadcast(1.9875691500e-4f);
    sum = multiply_add(sum, r, broadcast(1.3981999507e-3f));
    sum = multiply_add(sum, r, broadcast(8.3334519073e-3f));
    sum = multiply_add(sum, r, broadcast(4.1665795894e-2f));
    sum = multiply_add(sum, r, broadcast(1.6666665459e-1f));
    sum = multiply_add(sum, r, broadcast(5.0000001201e-1f));
    sum = multiply_add(multiply(sum, r), r, add(r, broadcast(1.0f)));
    return zero_where_less(x, least, times_power_of_two(sum, n));
}

// Adds the mask to the scores of one row; cells after the last one get no weight.
inline void add_mask(float *scores, const char *mask, int64_t cells) {
    std::fill(scores + cells, scores + tile_cells, no_weight);
    if (mask == nullptr) return;
    if (cells < tile_cells) {  // the mask may end here
        for (int64_t i = 0; i < cells; i++) scores[i] += f16_at(mask + 2 * i);
        return;
    }
    for (int64_t i = 0; i < tile_cells; i += lanes)
        store(scores + i, add(load(scores + i), load_f16(mask + 2 * i)));
}

// Turns the scores of one row into weights; returns what the row's output has to be scaled by.
inline float softmax(float *scores, RowState &state) {
    Vector most = load(scores);
    for (int64_t i = lanes; i < tile_cells; i += lanes) most = maximum(most, load(scores + i));
    const float maximum_before = state.maximum;
    state.maximum = std::max(maximum_before, largest(most));
    if (state.maximum == no_weight) {  // nothing is visible so far
        std::fill_n(scores, tile_cells, 0.0f);
        return 1.0f;
    }
    Vector sum = broadcast(0.0f);
    const Vector subtracted = broadcast(-state.maximum);
    for (int64_t i = 0; i < tile_cells; i += lanes) {
        const Vector weight = exponential(add(load(scores + i), subtracted));
        store(scores + i, weight);
        sum = add(sum, weight);
    }
    const float scale = std::exp(maximum_before - state.maximum);
    state.sum = state.sum * scale + total(sum);
    return scale;
}

template <int ROWS>
inline void add_all_values(const float *weights, const float *values, int64_t cells, int64_t width,
                           const float *scales, float *outputs) {
    int64_t i = 0;
    // The values of all columns at once would not stay in registers.
    for (; i + value_vectors * lanes <= width; i += value_vectors * lanes)
        add_values<ROWS, value_vectors>(weights, values + i, cells, width, scales, outputs + i);
    for (; i < width; i += lanes)
        add_values<ROWS, 1>(weights, values + i, cells, width, scales, outputs + i);
}

template <int ROWS>
inline void attend_rows(const AttentionNode &node, const Block &block, int64_t row, int64_t cell,
                        int64_t cells, Scratch &scratch) {
    float *scores = scratch.scores.data() + row * tile_cells;
    float scales[ROWS];
    score<ROWS>(scratch.queries.data() + row * node.key_width, scratch.keys.data(), node.key_width,
                scores);
    for (int i = 0; i < ROWS; i++) {
        add_mask(scores + i * tile_cells, node.mask_at(block.row + row + i, cell), cells);
        scales[i] = softmax(scores + i * tile_cells, scratch.states[row + i]);
    }
    add_all_values<ROWS>(scores, scratch.values.data(), cells, node.value_width, scales,
                         scratch.outputs.data() + row * node.value_width);
}

void convert_tiles(const AttentionNode &node, int64_t group, int64_t cell, int64_t cells,
                   const bool *visible, Scratch &scratch) {
    convert_tile(node.key_type, node.key_at(group, cell), node.key_stride, cells, visible,
                 node.key_width, scratch.keys.data());
    convert_tile(node.value_type, node.value_at(group, cell), node.value_stride, cells, visible,
                 node.value_width, scratch.values.data());
}

void attend(const AttentionNode &node, const Block &block, Scratch &scratch) {
    scratch.begin(node, block);
    for (int64_t cell = block.first_cell; cell < block.end_cell; cell += tile_cells) {
        const int64_t cells = std::min(tile_cells, block.end_cell - cell);
        bool visible[tile_cells];
        if (!node.find_visible(block.row, block.rows, cell, cells, visible)) continue;
        convert_tiles(node, block.group, cell, cells, visible, scratch);
        for (int64_t row = 0; row < block.rows; row += 4) {
            const int64_t rows = std::min<int64_t>(4, block.rows - row);
            if (!node.find_visible(block.row + row, rows, cell, cells, visible)) continue;
            if (rows == 4) attend_rows<4>(node, block, row, cell, cells, scratch);
            if (rows == 3) attend_rows<3>(node, block, row, cell, cells, scratch);
            if (rows == 2) attend_rows<2>(node, block, row, cell, cells, scratch);
            if (rows == 1) attend_rows<1>(node, block, row, cell, cells, scratch);
        }
    }
}
