// llama.cpp: logits of a row under a control vector, which its own loader reads.
//
// Arguments: model, control vector, strength, file to write (float32, [tokens, vocabulary]), token
// ids. Exits with 3 where the loader refuses the control vector.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "llama.h"

// As common/common.h declares them; that header asks for half of the project.
struct common_control_vector_data {
    int n_embd;
    std::vector<float> data;
};

struct common_control_vector_load_info {
    float strength;
    std::string fname;
};

common_control_vector_data common_control_vector_load(
    const std::vector<common_control_vector_load_info> & load_infos);

static int fail(const char * what) {
    std::fprintf(stderr, "%s\n", what);
    return 1;
}

int main(int argc, char ** argv) {
    if (argc < 6) {
        return fail("too few arguments");
    }
    std::vector<llama_token> ids;
    for (int index = 5; index < argc; index++) {
        ids.push_back(std::atoi(argv[index]));
    }

    ggml_backend_load_all_from_path(BACKENDS);
    llama_backend_init();
    llama_model * model = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (model == nullptr) {
        return fail("the model can't be loaded");
    }
    llama_context_params settings = llama_context_default_params();
    settings.n_ctx = settings.n_batch = 64;
    settings.n_threads = settings.n_threads_batch = 1;
    // Float32 throughout: the cache is in float16 by default.
    settings.type_k = settings.type_v = GGML_TYPE_F32;
    settings.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    llama_context * context = llama_init_from_model(model, settings);
    if (context == nullptr) {
        return fail("no context can be made");
    }

    const common_control_vector_data vector =
        common_control_vector_load({{std::strtof(argv[3], nullptr), argv[2]}});
    if (vector.n_embd == -1) {
        return 3;
    }
    // All layers, as without --control-vector-layer-range.
    if (llama_set_adapter_cvec(context, vector.data.data(), vector.data.size(), vector.n_embd, 1,
                               llama_model_n_layer(model)) != 0) {
        return fail("the control vector doesn't fit the model");
    }

    llama_batch batch = llama_batch_init(static_cast<int32_t>(ids.size()), 0, 1);
    batch.n_tokens = static_cast<int32_t>(ids.size());
    for (int32_t index = 0; index < batch.n_tokens; index++) {
        batch.token[index] = ids[index];
        batch.pos[index] = index;
        batch.n_seq_id[index] = 1;
        batch.seq_id[index][0] = 0;
        batch.logits[index] = 1;
    }
    if (llama_decode(context, batch) != 0) {
        return fail("the row can't be decoded");
    }
    const int32_t size = llama_vocab_n_tokens(llama_model_get_vocab(model));
    std::ofstream file(argv[4], std::ios::binary);
    for (int32_t index = 0; index < batch.n_tokens; index++) {
        const float * logits = llama_get_logits_ith(context, index);
        file.write(reinterpret_cast<const char *>(logits), size * sizeof(float));
    }
    file.close();
    return file ? 0 : fail("the logits can't be written");
}
