// Runs in the browser: the server answers every path that is no file with index.html (spa: true).
document.getElementById("where").textContent = location.pathname;
