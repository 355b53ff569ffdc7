// Every sentence of the page, in English and Chinese.

const ENGLISH = {
  skip: "Skip to the input",
  model: "Model",
  otherLanguage: "中文",
  key: "API key",
  keyNote: "This service wants a key. It is kept in this tab until you close it, and nowhere else.",
  keyForget: "Forget it",
  keyWanted: "This service wants an API key: type it in and send again.",
  badKey: "A key has letters, digits and signs of ASCII, and no blank.",
  text: "Text",
  firstText: "First text",
  secondText: "Second text",
  textNote: "Ctrl + Enter sends it.",
  maskNote: "Put {0} where a word is missing. Ctrl + Enter sends it.",
  maskAdd: "Insert {0}",
  image: "picture",
  audio: "sound",
  dropImage: "Drop a picture here, paste one, or",
  dropAudio: "Drop a sound file here, or",
  chooseImage: "Choose a picture",
  chooseAudio: "Choose a sound file",
  take: "Take a photo",
  camera: "Camera",
  snap: "Take it",
  close: "Close",
  record: "Record",
  stop: "Stop",
  live: "Show the text while I speak",
  labels: "Labels to choose from",
  labelsNote: "Separated by commas, at least two: sport, politics, weather",
  shown: "Answers shown",
  send: "Send",
  sending: "Sending…",
  cancel: "Cancel",
  examples: "Examples",
  answer: "Answer",
  noAnswer: "Nothing has been asked yet.",
  listening: "Listening…",
  curl: "The same request on the command line",
  copy: "Copy",
  copied: "Copied.",
  notCopied: "The browser did not allow it: mark the text and copy it yourself.",
  json: "The answer as JSON",
  history: "Last answers",
  historyNote: "Kept in this tab only, and gone when you close it.",
  clear: "Clear",
  docs: "How to call this service",
  served: "{0} · deployment {1} · weights sha256 {2}…",
  allLabels: "All {0} labels",
  someLabels: "{1} of the {0} labels",
  latency: "{0} from sending to the answer",
  latencyLive: "{0} from the end of the recording to its text",
  label: "Label",
  score: "Score",
  words: "Words",
  time: "Seconds",
  nothingFound: "Nothing was found in this text.",
  noLabel: "None of the labels.",
  noText: "No words were heard.",
  nothingWritten: "The model ended the text at once.",
  gap: "Missing word {0}",
  boxesFound: "{0} found in the picture",
  noInputText: "Type a text first.",
  noInputPair: "Type both texts first.",
  noInputFile: "Choose a file first.",
  noLabels: "Give at least two labels, separated by commas.",
  noMask: "Put {0} where a word is missing.",
  badTop: "“Answers shown” must be a whole number from 1 on.",
  wrongFile: "This model takes a {0}, and “{1}” is another kind of file ({2}).",
  emptyFile: "“{0}” is empty.",
  unreachable: "The service can't be reached: it may be stopped, or the network is down.",
  status: "The service answered {0} without saying why.",
  notJson: "The service answered with something that is no JSON.",
  notPredictions: "The service answered without predictions.",
  later: "Try again in {0} s.",
  noModels: "No model is served here.",
  noMicrophone: "The microphone can't be used: {0}",
  noCamera: "The camera can't be used: {0}",
  notAllowed: "the browser or you did not allow it",
  insecure: "browsers allow it only on https or on this machine itself",
  noDevice: "there is none",
  nothingRecorded: "Nothing was recorded.",
  tooLong: "stopped after {0} minutes, the longest there may be",
};

const CHINESE = {
  skip: "跳到输入",
  model: "模型",
  otherLanguage: "English",
  key: "API 密钥",
  keyNote: "此服务需要密钥。密钥只保存在当前标签页中，关闭后即消失。",
  keyForget: "清除",
  keyWanted: "此服务需要 API 密钥：请输入后重新发送。",
  badKey: "密钥只能包含 ASCII 字母、数字和符号，不能有空格。",
  text: "文本",
  firstText: "第一段文本",
  secondText: "第二段文本",
  textNote: "按 Ctrl + Enter 发送。",
  maskNote: "在缺词处写上 {0}。按 Ctrl + Enter 发送。",
  maskAdd: "插入 {0}",
  image: "图片",
  audio: "声音",
  dropImage: "将图片拖到这里，或直接粘贴，或者",
  dropAudio: "将音频文件拖到这里，或者",
  chooseImage: "选择图片",
  chooseAudio: "选择音频文件",
  take: "拍照",
  camera: "相机",
  snap: "拍摄",
  close: "关闭",
  record: "录音",
  stop: "停止",
  live: "边说边显示文字",
  labels: "候选标签",
  labelsNote: "用逗号分隔，至少两个：体育，政治，天气",
  shown: "显示结果数",
  send: "发送",
  sending: "正在发送…",
  cancel: "取消",
  examples: "示例",
  answer: "结果",
  noAnswer: "还没有发送请求。",
  listening: "正在听…",
  curl: "在命令行中发送同样的请求",
  copy: "复制",
  copied: "已复制。",
  notCopied: "浏览器不允许复制：请自行选中文字并复制。",
  json: "JSON 格式的结果",
  history: "最近的结果",
  historyNote: "只保存在当前标签页中，关闭后即消失。",
  clear: "清空",
  docs: "如何调用此服务",
  served: "{0} · 部署方式 {1} · 权重 sha256 {2}…",
  allLabels: "全部 {0} 个标签",
  someLabels: "{0} 个标签中的 {1} 个",
  latency: "从发送到收到结果用时 {0}",
  latencyLive: "从录音结束到出现文字用时 {0}",
  label: "标签",
  score: "得分",
  words: "词语",
  time: "秒",
  nothingFound: "这段文本中没有找到任何内容。",
  noLabel: "不属于任何标签。",
  noText: "没有听到词语。",
  nothingWritten: "模型没有续写任何文字。",
  gap: "第 {0} 个缺词",
  boxesFound: "在图片中找到 {0} 个",
  noInputText: "请先输入文本。",
  noInputPair: "请先输入两段文本。",
  noInputFile: "请先选择文件。",
  noLabels: "请至少给出两个标签，用逗号分隔。",
  noMask: "请在缺词处写上 {0}。",
  badTop: "“显示结果数”必须是不小于 1 的整数。",
  wrongFile: "此模型需要{0}，而“{1}”是另一种文件（{2}）。",
  emptyFile: "“{0}”是空文件。",
  unreachable: "无法连接服务：服务可能已停止，或网络中断。",
  status: "服务返回了 {0}，但没有说明原因。",
  notJson: "服务返回的内容不是 JSON。",
  notPredictions: "服务的回答中没有预测结果。",
  later: "请在 {0} 秒后重试。",
  noModels: "这里没有提供任何模型。",
  noMicrophone: "无法使用麦克风：{0}",
  noCamera: "无法使用相机：{0}",
  notAllowed: "浏览器或您没有允许",
  insecure: "浏览器只允许在 https 或本机上使用",
  noDevice: "没有找到设备",
  nothingRecorded: "没有录到声音。",
  tooLong: "已达到最长的 {0} 分钟，自动停止",
};

export const LANGUAGES = { en: ENGLISH, zh: CHINESE };

let language = "en";

export function currentLanguage() {
  return language;
}

// `?lang=` says which, else what the browser prefers, else English.
export function chooseLanguage() {
  const asked = [new URLSearchParams(location.search).get("lang"), ...(navigator.languages ?? [])];
  const known = asked.map((tag) => (tag ?? "").toLowerCase().split("-")[0]).find((tag) => tag in LANGUAGES);
  setLanguage(known ?? "en");
}

export function setLanguage(name) {
  language = name;
  document.documentElement.lang = name === "zh" ? "zh-Hans" : "en";
}

// The sentence of a key, with what it speaks of in place of {0}, {1}...
export function t(key, ...values) {
  return LANGUAGES[language][key].replace(/\{(\d)\}/g, (_, place) => String(values[place]));
}

// Translate what index.html says by data-t.
export function translate(root = document) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
}

export function percent(share) {
  if (share > 0 && share < 0.000005) return "<0.001%";
  const digits = share > 0 && share < 0.001 ? 3 : 1;
  return new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: digits }).format(share);
}

export function number(value) {
  return new Intl.NumberFormat(language, { maximumSignificantDigits: 6 }).format(value);
}

export function duration(ms) {
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}
