"""Checkpoints as programs of other runtimes: the export, its proof, and the replay of that proof.

    zoo export runs/bert_cls --runtime onnx  # or openvino, pt2, aoti, executorch, torchscript, ...
    zoo predict runs/bert_cls --deployment onnx "fine, I loved it"
    zoo verify runs/bert_cls                 # replays the proof of every artifact

An export is proven inside the command: its outputs are compared with those of the fp32 checkpoint,
over random and real inputs, over a sweep of sizes, for rows alone and among others. What is further
off than `zoo.deploy.parity` allows is refused (exit code 1), and nothing is put in place.

Artifacts lie in `runs/bert_cls/artifacts/`, each with the manifest of `transformers.exporters`
(`export.json`). An ONNX file works without the weights and without this project. whisper_asr and
t5_seq2seq become an encoder and a decoder with its cache, gpt_lm one program with its cache; they
must write token for token what `generate` of the checkpoint writes: alone, in a batch, of texts by
beams and up to the longest one too.
TorchScript, `.pt2` and AOTInductor programs are code: they run only on the machine that exported
them. `onnx`, `openvino`, `executorch` and `tensorrt` are extras of the package; `tensorrt` has not
run yet.

What can't be exported, and the operator that stands in the way (a test keeps this list true):

    rnn_cls: not to aoti, openvino, executorch
        `scan`, the loop over time, which torch.export would unroll otherwise. Inductor loses the
        batch in it, OpenVINO can't convert it, and in ExecuTorch XNNPACK can't join (`aten.cat`)
        what it gives.
    kws_cls, wav2vec2_ctc: not to executorch
        `aten.convolution` over one dimension: XNNPACK reshapes for it, and can where either batch
        or length varies, not both.
    conformer_ctc: not to executorch
        `aten.sum` of the mask: the batch has become a constant in the checks of its lowering.
    t5_seq2seq, whisper_asr: not to openvino, pt2, aoti, executorch, torchscript, tensorrt
        encoder and decoder with a cache are written for ONNX Runtime alone.
    gpt_lm: not to openvino, pt2, aoti, executorch, torchscript, tensorrt
        a decoder is one program, a model with a cache, which is written for ONNX Runtime alone.
"""
