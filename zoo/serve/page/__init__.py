"""The page of the service at `/`: a model tried in a browser, without a file from outside.

`routes.router` serves it, `models` says what it needs to know of each model. The rest is plain HTML,
CSS and modules of JavaScript as the browser reads them: nothing is built. `page.js` holds the page
together; `api.js` talks to the service; `answers.js` shows what it said; `camera.js`, `microphone.js`
and the AudioWorklet `recorder.js` take pictures and sound; `strings.js` has every sentence in English
and Chinese.
"""
