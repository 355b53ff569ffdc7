// Takes a photo: in the page where the browser gives the camera, else by the phone's own camera.

import { deviceTrouble } from "./microphone.js";

const dialog = document.querySelector("#camera");
const video = document.querySelector("#video");
const input = document.querySelector("#shot"); // a phone opens its camera for it

// Whether the page may show the camera's picture itself.
function isHere() {
  return Boolean(navigator.mediaDevices?.getUserMedia);
}

// Take a photo. `took(file)` is called with it, `failed(reason)` where there is no camera.
export async function takePhoto(took, failed) {
  if (!isHere()) {
    input.onchange = () => {
      if (input.files.length) took(input.files[0]);
      input.value = "";
    };
    input.click();
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
  } catch (error) {
    failed(deviceTrouble(error));
    return;
  }
  video.srcObject = stream;
  dialog.onclose = () => {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
  document.querySelector("#camera-close").onclick = () => dialog.close();
  document.querySelector("#snap").onclick = () => {
    if (!video.videoWidth) return; // it shows nothing yet
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      dialog.close();
      took(new File([blob], "photo.jpg", { type: "image/jpeg" }));
    }, "image/jpeg", 0.92);
  };
  dialog.showModal();
}
