// Prints the certificate.

document.querySelector("#print").addEventListener("click", () => window.print());
