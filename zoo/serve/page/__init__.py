"""The page of the service at `/`: a model tried in a browser, without a file from outside.

`routes.router` serves it, `models` says what it needs to know of each model. The rest is plain
HTML, CSS and modules of JavaScript as the browser reads them: nothing is built.

    page.js      what is asked, and the events        view.js        draws the page from its state
    api.js       requests, answers, curl lines        answers.js     shows what a model said
    camera.js    takes a photo                        microphone.js  records, or sends as it comes
    recorder.js  the AudioWorklet of it               resample.js    any rate as 16 kHz
    strings.js   every sentence, in English and Chinese
    examples/    digits (Alpaydin & Kaynak 1998, CC-BY-4.0) and words spoken by espeak-ng, out of
                 the test splits of the embedded data
"""
