// A classic worker, since LiteRT.js loads its WebAssembly by importScripts, which module
// workers lack. Everything else is in modules.
self.onmessage = async ({data}) => {
  try {
    const {answer} = await import('./jobs.js');
    await answer(data);
  } catch (error) { // A module did not load.
    self.postMessage({id: data.id, error: error instanceof Error ? error.message : String(error)});
  }
};
