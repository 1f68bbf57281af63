// A classic worker, since LiteRT.js loads its WebAssembly by importScripts, which module
// workers lack. Everything else is in modules.
self.onmessage = async ({data}) => {
  try {
    const {answer} = await import('./jobs.js');
    await answer(data);
  } catch (error) { // jobs.js or one of its imports could not be loaded.
    self.postMessage({id: data.id, error: error instanceof Error ? error.message : String(error)});
  }
};
